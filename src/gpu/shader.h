/* A kernel's source, put together: constants, then parts, each a file of src/gpu/wgsl.
 *
 * WGSL lets declarations come in any order, so a part may use what another defines: the product of a
 * matrix and a vector calls load_block and unpack_block, which every part quant/<format> defines, and
 * prologue and epilogue, which several parts define, of which a kernel has one. That is the only way
 * variants are made. Numbers are constants of the kernel. Compilers do not always unroll loops over them, and what
 * they then index by a variable lies in memory instead of registers; so a part may have its loops written out:
 *     @for i COUNT
 *     x[$i] = y[$i + FIRST];
 *     @end
 * is, COUNT being 2, { x[0u] = y[0u + FIRST]; } { x[1u] = y[1u + FIRST]; }. COUNT is a constant that was given by
 * shader_u32. After shader_roll it is a loop over i: for adapters that are the CPU, whose compilers are slow.
 *
 * What is asked for is noted as a recipe; the text is written only for kernels that are not there yet, since a pass of
 * a prompt names hundreds and most are the same.
 *
 * A part declares its bindings as
 *     @group(0) @binding(auto) var<storage, read> name: array<...>;
 * and they are numbered as they come. Who dispatches gives buffers by these names (recorder.h). */
#ifndef INGLE_GPU_SHADER_H
#define INGLE_GPU_SHADER_H

#include "gpu/tape.h"

typedef struct {
    char name[16];
    bool writes;
} shader_binding;

enum { SHADER_MOST_CONSTANTS = 40, SHADER_MOST_TURNS = 256 };

typedef struct {
    ingle_text recipe; // what was asked for, in order: shaders with the same one are the same
    /* shader_write's: */
    ingle_text text;   // constants and parts
    ingle_text head;   // "enable" lines; then all of it
    shader_binding bindings[TAPE_MAX_BINDINGS];
    uint32_t n_bindings;
    struct {
        char name[16];
        uint32_t value;
    } constants[SHADER_MOST_CONSTANTS]; // those below SHADER_MOST_TURNS
    uint32_t n_constants;
    bool rolled;
    ingle_status status; // sticky: ERR_MEMORY, or ERR_INTERNAL: a part is missing or has too many bindings
    char fault[64];      // that part, or a loop over what is no constant
} shader;

void shader_init(shader *s, const ingle_allocator *a);
void shader_enable(shader *s, const char *feature); // "subgroups", "f16"
void shader_roll(shader *s); // loops of the parts to come stay loops; they have part loops_rolled
void shader_u32(shader *s, const char *name, uint64_t value);
void shader_f32(shader *s, const char *name, float value); // bit for bit; finite
void shader_part(shader *s, const char *name);      // "matvec" is src/gpu/wgsl/matvec.wgsl
void shader_part_of(shader *s, const char *folder, const char *name); // "quant", "q4_0"
void shader_code(shader *s, const char *text);      // a part that is no file
bool shader_write(shader *s); // the source to head, and its bindings; false: status says why
void shader_free(shader *s);

/* The embedded files: name without .wgsl, text without comments. */
typedef struct {
    const char *name, *text;
} shader_file;

extern const shader_file shader_files[]; // ends with {NULL, NULL}; made by tools/embed_wgsl.py

#endif
