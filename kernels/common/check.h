// A broken promise between an operator and its caller: a shape or a dtype that the contract in <op>.h excludes.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace lora_dist {

/// Thrown for a programming error (never for bad user input, which is caught long before a kernel runs).
class KernelError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws KernelError naming the caller's file and line unless `ok`.
inline void require(bool ok, const char* what, std::source_location at = std::source_location::current()) {
  if (!ok) {
    throw KernelError(std::string(at.file_name()) + ":" + std::to_string(at.line()) + ": " + what);
  }
}

}  // namespace lora_dist
