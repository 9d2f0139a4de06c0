// Sizes, rates and times as people write them: 80GB, 450GB/s, 5us.
#pragma once

#include <cstdint>
#include <string>

namespace lora_dist {

/// Bytes: a number and B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024), in any case. Throws
/// Error(usage, collective) naming `option` unless the value is positive.
std::int64_t parse_bytes(const std::string& text, const std::string& option);

/// Bytes per second: such a size and "/s", or bits as for networks: Gbit/s, Mbit/s. Throws likewise.
double parse_rate(const std::string& text, const std::string& option);

/// Seconds: a number and ns, us, ms or s. 0 is allowed. Throws likewise.
double parse_seconds(const std::string& text, const std::string& option);

/// "0 s", "12.3 us", "4.56 ms", "7.89 s", "123 s".
std::string human_seconds(double seconds);

}  // namespace lora_dist
