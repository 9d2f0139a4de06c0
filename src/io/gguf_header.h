// A cursor over the header of a GGUF file, which never reads beyond the file's end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "src/io/file.h"

namespace lora_dist {

/// Throw Error(model): the file is not sound. Its bytes are not those that were written: copy it again.
[[noreturn]] void refuse_damaged_gguf(const std::filesystem::path& file, const std::string& what);
/// It was written against the format, and another copy is no better: convert the model again.
[[noreturn]] void refuse_malformed_gguf(const std::filesystem::path& file, const std::string& what);

class GgufCursor {
 public:
  explicit GgufCursor(const InputFile& file) : file_(file) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return file_.size() - position_; }

  template <class T>
  T take() {
    T value{};
    if (left() < sizeof value) {
      refuse_damaged_gguf(file_.path(), "its header ends in the middle (truncated)");
    }
    copy(&value, sizeof value);
    return value;
  }

  /// A length and so many bytes. `what`: whose text it is.
  std::string text(const std::string& what) {
    constexpr std::uint64_t kMostMiB = 16;  // far above any template
    const auto length = take<std::uint64_t>();
    if (length > left()) {
      refuse_damaged_gguf(file_.path(),
                          what + " claims a text of " + std::to_string(length) + " bytes and the file ends before (truncated)");
    }
    if (length > kMostMiB << 20U) {
      throw Error(ExitCode::model, file_.path().string() + ": " + what + " has a text of " + std::to_string(length) +
                                       " bytes; at most " + std::to_string(kMostMiB) + " MiB are read");
    }
    std::string out(static_cast<std::size_t>(length), '\0');
    copy(out.data(), out.size());
    return out;
  }

 private:
  /// Through a window of the file, since texts are many and short.
  void copy(void* out, std::size_t bytes) {
    constexpr std::size_t kWindow = std::size_t{1} << 20;
    auto* to = static_cast<char*>(out);
    while (bytes > 0) {
      if (position_ < begin_ || position_ >= begin_ + window_.size()) {
        window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kWindow, left())));
        begin_ = position_;
        file_.read_at(begin_, window_);
      }
      const auto at = static_cast<std::size_t>(position_ - begin_);
      const std::size_t some = std::min(bytes, window_.size() - at);
      std::memcpy(to, window_.data() + at, some);
      to += some;
      bytes -= some;
      position_ += some;
    }
  }

  const InputFile& file_;
  std::vector<std::byte> window_;
  std::uint64_t begin_ = 0;  // of the window in the file
  std::uint64_t position_ = 0;
};

}  // namespace lora_dist
