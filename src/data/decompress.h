// gzip (RFC 1952), as data files are often stored.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

/// By the first two bytes.
bool is_gzip(std::string_view bytes);

/// What `bytes` may unpack to: 200 times their size, and 256 MiB in any case. Text packs to a fifth to a twentieth; what unpacks
/// to more is made to fill the memory.
std::uint64_t most_unpacked_bytes(std::string_view bytes);

/// All members of the stream, one after another; zeros behind the last are passed over. Throws std::runtime_error with what is
/// wrong ("it is cut off"): damage, a stream that ends too early, more than `limit` bytes.
std::string gunzip(std::string_view bytes, std::uint64_t limit);

}  // namespace lora_dist
