// Chooses the backend of an operator. Only this file checks at compile time for CUDA.
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

/// Calls <op>_cpu or <op>_cuda; on a dry stream records <op> by name.
#define LORA_DIST_DISPATCH(op, stream, ...) LORA_DIST_DISPATCH_COUNTED(op, ::lora_dist::OperatorWork{}, stream, __VA_ARGS__)

/// The same for an operator that the predicted step time depends on. `work`: of the call, evaluated only in dry runs.
#define LORA_DIST_DISPATCH_COUNTED(op, work, stream, ...)                                               \
  ((stream).is_dry() ? ::lora_dist::run_dry<decltype(op##_cpu(__VA_ARGS__, stream))>(stream, #op, work) \
                     : LORA_DIST_CALL(op, stream, __VA_ARGS__))
