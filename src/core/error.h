// The exception that users see: a sentence (what, where, what to do) and the job's exit code.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace lora_dist {

/// Exit codes of the program; a promise to batch scripts.
enum class ExitCode : std::uint8_t {
  done = 0,
  internal = 1,       // a mistake in the program itself
  usage = 2,          // command line or configuration
  data = 3,           // datasets
  model = 4,          // model, tokenizer, adapter or checkpoint
  communication = 5,  // MPI, NCCL, a lost rank
  out_of_memory = 6,
  non_finite = 7,  // NaN or infinity in loss or gradient
  stopped = 75,    // stopped on request, checkpoint saved, run again to continue
  hang = 86,
};

/// The ranks that throw an error. `collective`: all ranks throw the same error at the same point (rank 0 prints it). `this_rank`:
/// perhaps only this rank throws (it prints the error and ends the job). `consequence`: likewise, but another rank's failure is
/// the probable cause, and should be printed first.
enum class ErrorScope : std::uint8_t { this_rank, collective, consequence };

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message, ErrorScope scope = ErrorScope::this_rank)
      : std::runtime_error(message), code_(code), scope_(scope) {}

  ExitCode code() const { return code_; }
  ErrorScope scope() const { return scope_; }

 private:
  ExitCode code_;
  ErrorScope scope_;
};

}  // namespace lora_dist
