// One line above a plain loop makes the compiler emit it for AVX-512, AVX2 and the baseline, chosen when the program starts.
#pragma once

// Sanitizers instrument the resolver functions before their run time is up, so those builds take the baseline alone.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(LORA_DIST_NO_MULTIVERSION)
#define LORA_DIST_MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LORA_DIST_MULTIVERSION
#endif
