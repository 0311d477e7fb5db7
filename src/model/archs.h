/* The model families: general.architecture in files, and the function in arch_<family>.c that
 * builds the graph. A new family is one such file and one line here. */
#ifndef INGLE_MODEL_ARCHS_H
#define INGLE_MODEL_ARCHS_H

#define MODEL_ARCHS(X) \
    X("llama", llama)       \
    X("qwen2", qwen2)       \
    X("qwen3", qwen3)

#endif
