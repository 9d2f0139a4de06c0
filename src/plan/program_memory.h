// What a process holds on CPUs beside its buffers.
#pragma once

#include <cstdint>

namespace lora_dist {

/// Bytes resident in this process now (VmRSS), and what a run adds to that outside its arenas. To be called before buffers are
/// taken: then it is the program, its libraries as the loader has relocated them, and MPI, which differ between builds and
/// machines by more than a small model needs.
std::int64_t program_bytes();

}  // namespace lora_dist
