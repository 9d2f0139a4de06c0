// Decompresses gzip (RFC 1952).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

/// Checks the first two bytes.
bool is_gzip(std::string_view bytes);

/// The limit on unpacked bytes: 200 times the packed size, at least 256 MiB. Text packs to a fifth to a twentieth; more suggests
/// a decompression bomb.
std::uint64_t most_unpacked_bytes(std::string_view bytes);

/// Unpacks all members; ignores trailing zeros. Throws std::runtime_error with the reason ("it is cut off"): damage, a truncated
/// stream, more than `limit` bytes.
std::string gunzip(std::string_view bytes, std::uint64_t limit);

}  // namespace lora_dist
