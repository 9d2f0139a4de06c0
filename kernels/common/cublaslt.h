// cuBLASLt is opened at run time; this tells if it is there.
#pragma once

#include <string>

namespace lora_dist {

/// Why cuBLASLt cannot be called on this machine, as a sentence; empty if it can. The first call opens the library.
std::string why_no_cublaslt();

}  // namespace lora_dist
