// Reading and writing plain files with errors that name the file and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "src/core/error.h"

namespace lora_dist {

/// An open file for positioned reads; closes itself. Throws Error(code) naming file and reason.
class InputFile {
 public:
  InputFile(const std::filesystem::path& path, ExitCode code);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Fills `out` from byte `offset`; throws for a short file ("ends at byte ..., expected ...").
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  ExitCode code_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// A new file (truncates an existing one), written from front to back. Throws Error(code) naming file and reason; for a full disk
/// exit_code_of(). Without close(), because of an exception, removes the incomplete file.
class OutputFile {
 public:
  OutputFile(const std::filesystem::path& path, ExitCode code);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void close();  // fsyncs

 private:
  std::filesystem::path path_;
  ExitCode code_;
  int descriptor_ = -1;
};

/// fsyncs a file or a folder, so that its content, or its list of names, survives a power cut. Throws Error(code).
void sync_to_disk(const std::filesystem::path& path, ExitCode code);

/// "cannot <act> <path>: <reason>", with what to do where the reason suggests it, and for a full disk how much room there is.
std::string system_error_text(const std::string& act, const std::filesystem::path& path, int error_number);

/// The exit code of a system error: a full disk is not a configuration mistake, and ends the job with the code of a checkpoint
/// (model, 4), for any file; all other errors with `otherwise`.
ExitCode exit_code_of(int error_number, ExitCode otherwise);

/// The whole file as text. `code`: the exit code of a failure.
std::string read_text_file(const std::filesystem::path& path, ExitCode code);
/// Writes beside the target, fsyncs, renames over it, fsyncs the folder. Throws Error(code) with the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view content, ExitCode code);
/// Makes the folder and its parents. Throws Error(usage) naming the folder, the reason and the configuration key (`key`, e.g.
/// output.dir).
void make_output_directory(const std::filesystem::path& dir, const std::string& key);

}  // namespace lora_dist
