/* What measuring found, for loads to come: numbers by key, kept by the player (gpu_player.recall, remember). Worth
 * something only for the very kernels that were measured, so their version is in it. */
#ifndef INGLE_GPU_TUNE_STORE_H
#define INGLE_GPU_TUNE_STORE_H

#include "gpu/player.h"

enum { TUNE_ENTRY = 5, TUNE_MOST_ENTRIES = 160 };

/* words[0] is the version, from [1] on entries: a key and four numbers. */
typedef struct {
    size_t n; // words
    uint32_t words[1 + TUNE_MOST_ENTRIES * TUNE_ENTRY];
} tune_store;

void tune_store_read(tune_store *s, const gpu_player *p); // empty where nothing of use is kept
void tune_store_write(const tune_store *s, const gpu_player *p);

/* The four numbers, or NULL. Storage may hold anything: who reads them checks them. */
const uint32_t *tune_store_find(const tune_store *s, uint32_t key);
void tune_store_put(tune_store *s, uint32_t key, const uint32_t values[4]); // the oldest make room

#endif
