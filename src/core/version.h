// The program's version, as --version prints it and checkpoints record it.
#pragma once

namespace lora_dist {

inline constexpr const char* kProgramVersion = LORA_DIST_VERSION;  // set by CMakeLists.txt

}  // namespace lora_dist
