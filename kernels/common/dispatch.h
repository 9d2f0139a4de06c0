// Chooses the backend of an operator. This is the only place that asks at compile time whether CUDA is there.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/stream.h"
#include "kernels/common/work_record.h"

#if defined(LORA_DIST_WITH_CUDA)
#define LORA_DIST_CALL(op, stream, ...) \
  ((stream).backend == ::lora_dist::Backend::cuda ? op##_cuda(__VA_ARGS__, stream) : op##_cpu(__VA_ARGS__, stream))
#else
#define LORA_DIST_CALL(op, stream, ...)                                                                        \
  (::lora_dist::require((stream).backend == ::lora_dist::Backend::cpu, "this program was built without CUDA"), \
   op##_cpu(__VA_ARGS__, stream))
#endif

/// Calls <op>_cpu or <op>_cuda; where the stream runs dry, notes <op> by its name.
#define LORA_DIST_DISPATCH(op, stream, ...) LORA_DIST_DISPATCH_COUNTED(op, ::lora_dist::OperatorWork{}, stream, __VA_ARGS__)

/// The same for an operator that a step's time is predicted from. `work`: what the call does, asked in dry runs alone.
#define LORA_DIST_DISPATCH_COUNTED(op, work, stream, ...)                                               \
  ((stream).is_dry() ? ::lora_dist::run_dry<decltype(op##_cpu(__VA_ARGS__, stream))>(stream, #op, work) \
                     : LORA_DIST_CALL(op, stream, __VA_ARGS__))
