// Parses numbers with units.
#include "src/plan/parse_quantities.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>

#include "src/core/error.h"

namespace lora_dist {

namespace {

struct Unit {
  std::string_view name;  // in lower case
  double factor;
};

constexpr std::array<Unit, 9> kSizes = {{{"b", 1.0},
                                         {"kb", 1e3},
                                         {"mb", 1e6},
                                         {"gb", 1e9},
                                         {"tb", 1e12},
                                         {"kib", 0x1p10},
                                         {"mib", 0x1p20},
                                         {"gib", 0x1p30},
                                         {"tib", 0x1p40}}};
constexpr std::array<Unit, 4> kBitRates = {{{"kbit/s", 125.0}, {"mbit/s", 125e3}, {"gbit/s", 125e6}, {"tbit/s", 125e9}}};
constexpr std::array<Unit, 4> kTimes = {{{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1.0}}};

/// The number times the factor of its unit, which must be one of `units`.
std::optional<double> read(std::string_view text, std::span<const Unit> units) {
  double number = 0.0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) {
    return std::nullopt;
  }
  std::string unit(end, text.data() + text.size());
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = std::find_if(units.begin(), units.end(), [&](const Unit& each) { return each.name == unit; });
  return found == units.end() ? std::nullopt : std::optional(number * found->factor);
}

[[noreturn]] void refuse(const std::string& option, const char* what, const std::string& text) {
  throw Error(ExitCode::usage, fmt::format("{} must be {} (got {})", option, what, text), ErrorScope::collective);
}

}  // namespace

std::int64_t parse_bytes(const std::string& text, const std::string& option) {
  const std::optional<double> bytes = read(text, kSizes);
  if (!bytes || !(*bytes >= 1.0 && *bytes < 1e18)) {
    refuse(option, "a size such as 80GB or 40GiB", text);
  }
  return static_cast<std::int64_t>(*bytes);
}

double parse_rate(const std::string& text, const std::string& option) {
  const bool per_second = text.ends_with("/s");
  std::optional<double> rate = read(text, kBitRates);
  if (!rate && per_second) {
    rate = read(std::string_view(text).substr(0, text.size() - 2), kSizes);
  }
  if (!rate || !(*rate >= 1.0 && *rate < 1e18)) {
    refuse(option, "a rate such as 450GB/s or 200Gbit/s", text);
  }
  return *rate;
}

double parse_seconds(const std::string& text, const std::string& option) {
  const std::optional<double> seconds = read(text, kTimes);
  if (!seconds || !(*seconds >= 0.0 && *seconds < 1e6)) {
    refuse(option, "a time such as 5us or 0.1ms", text);
  }
  return *seconds;
}

std::string human_seconds(double seconds) {
  if (seconds == 0.0) {
    return "0 s";
  }
  constexpr std::array<Unit, 3> units = {{{"us", 1e-6}, {"ms", 1e-3}, {"s", 1.0}}};
  const Unit& unit = seconds < 0.9995e-3 ? units[0] : seconds < 0.9995 ? units[1] : units[2];
  const double amount = seconds / unit.factor;
  const int decimals = amount < 9.995 ? 2 : (amount < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f} {}", amount, decimals, unit.name);
}

}  // namespace lora_dist
