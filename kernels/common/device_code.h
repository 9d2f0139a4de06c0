// Marks a function that kernels call as well as the CPU.
#pragma once

#if defined(__CUDACC__)
#define LORA_DIST_DEVICE __host__ __device__
#else
#define LORA_DIST_DEVICE
#endif
