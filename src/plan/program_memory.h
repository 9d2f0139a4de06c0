// The memory of a process on CPUs besides its buffers.
#pragma once

#include <cstdint>

namespace lora_dist {

/// Bytes resident in this process now (VmRSS), plus what a run adds to them outside its arenas. Call before taking buffers: then
/// the value covers the program, its relocated libraries and MPI, which differ between builds and machines by more than a small
/// model needs.
std::int64_t program_bytes();

}  // namespace lora_dist
