// Decompresses with zlib piecewise, to enforce the limit.
#include "src/data/decompress.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <stdexcept>

namespace lora_dist {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, with a gzip header
constexpr std::size_t kPiece = std::size_t{1} << 18;

/// Inflates one member of a gzip stream; frees zlib's memory.
class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream_); }

  /// Appends the first member of `bytes` to `out`. Returns the member's length. `packed`: bytes of the whole stream.
  std::size_t unpack(std::string_view bytes, std::string& out, std::uint64_t limit, std::size_t packed) {
    std::array<char, kPiece> piece{};
    std::string_view rest = bytes;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
      const std::string_view given = rest.substr(0, std::numeric_limits<uInt>::max());
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(given.data()));  // NOLINT: zlib reads it only
      stream_.avail_in = static_cast<uInt>(given.size());
      stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_out = static_cast<uInt>(piece.size());
      state = inflate(&stream_, Z_NO_FLUSH);
      const std::size_t made = piece.size() - stream_.avail_out;
      if (state == Z_MEM_ERROR) {
        throw std::bad_alloc();
      }
      if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) {
        throw std::runtime_error("its gzip stream is damaged");
      }
      if (state == Z_BUF_ERROR && made == 0) {
        throw std::runtime_error("its gzip stream is cut off");
      }
      if (made > limit - out.size()) {
        throw std::runtime_error(fmt::format("it unpacks to more than {} MiB, {} times its own size, which no text does",
                                             limit >> 20U, limit / packed));
      }
      out.append(piece.data(), made);
      rest.remove_prefix(given.size() - stream_.avail_in);
    }
    return bytes.size() - rest.size();
  }

 private:
  z_stream stream_{};
};

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

std::uint64_t most_unpacked_bytes(std::string_view bytes) {
  constexpr std::uint64_t kAlways = std::uint64_t{256} << 20U;
  constexpr std::uint64_t kTimes = 200;
  return std::max<std::uint64_t>(kAlways, kTimes * bytes.size());
}

std::string gunzip(std::string_view bytes, std::uint64_t limit) {
  std::string out;
  const std::size_t packed = std::max<std::size_t>(bytes.size(), 1);
  do {
    bytes.remove_prefix(Inflater().unpack(bytes, out, limit, packed));
    bytes.remove_prefix(std::min(bytes.find_first_not_of('\0'), bytes.size()));
  } while (is_gzip(bytes));
  if (!bytes.empty()) {
    throw std::runtime_error("there are other bytes after the gzip stream");
  }
  return out;
}

}  // namespace lora_dist
