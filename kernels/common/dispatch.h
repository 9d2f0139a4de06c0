// Chooses the backend of an operator. This is the only place that asks at compile time whether CUDA is there.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/stream.h"

#if defined(LORA_DIST_WITH_CUDA)
#define LORA_DIST_DISPATCH(op, stream, ...) \
  ((stream).backend == ::lora_dist::Backend::cuda ? op##_cuda(__VA_ARGS__, stream) : op##_cpu(__VA_ARGS__, stream))
#else
#define LORA_DIST_DISPATCH(op, stream, ...)                                                                    \
  (::lora_dist::require((stream).backend == ::lora_dist::Backend::cpu, "this program was built without CUDA"), \
   op##_cpu(__VA_ARGS__, stream))
#endif
