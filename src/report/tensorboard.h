// TensorBoard event files: scalars only, written by hand (TFRecord framing around Event protocol buffers).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "src/io/append_file.h"

namespace lora_dist {

struct Scalar {
  std::string_view tag;  // "train/loss", "eval/loss", ...
  double value = 0.0;    // stored as a float
};

/// CRC-32C (Castagnoli polynomial, reflected), as in RFC 3720 B.4.
std::uint32_t crc32c(std::string_view bytes);
/// TFRecord stores it instead of a plain CRC, because a CRC over data with embedded CRCs is weak.
std::uint32_t masked_crc32c(std::string_view bytes);
/// One TFRecord: u64 length, masked CRC of the length, payload, masked CRC of the payload; little-endian.
std::string tfrecord(std::string_view payload);

/// Event protocol buffers (tensorflow/core/util/event.proto). wall_time in seconds since 1970.
std::string file_version_event(double wall_time);                      // "brain.Event:2"
std::string session_start_event(double wall_time, std::int64_t step);  // readers drop earlier values at >= step
std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars);  // one Summary, simple_value

/// One event file of a run, passed to the system after every step. Only the rank that writes it creates one.
class TensorBoardWriter {
 public:
  /// Creates `dir` and in it events.out.tfevents.<seconds>.<host>.<pid>, named to sort after every existing event file.
  /// Starts with a session mark at keep_through_step + 1, which hides what an earlier run showed beyond the checkpoint (-1: a
  /// fresh run, hides all). Throws Error(usage), for a full disk Error(model), naming the file and the system's reason.
  TensorBoardWriter(const std::filesystem::path& dir, std::int64_t keep_through_step);

  void add_scalars(std::int64_t step, std::span<const Scalar> scalars);
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  AppendFile file_;
};

}  // namespace lora_dist
