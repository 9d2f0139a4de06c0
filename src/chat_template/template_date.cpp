// ISO 8601 dates. Noon exists on every day in every time zone.
#include "src/chat_template/template_date.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace lora_dist {
namespace {

std::string text_of(const std::tm& time) {
  return fmt::format("{:04}-{:02}-{:02}", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday);
}

}  // namespace

bool asks_for_date(std::string_view text) { return text.find("strftime_now") != std::string_view::npos; }

std::time_t chat_template_time() {
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  return fixed != nullptr ? static_cast<std::time_t>(std::strtoll(fixed, nullptr, 10)) : std::time(nullptr);
}

std::string chat_template_today() {
  const std::time_t now = chat_template_time();
  std::tm time{};
  localtime_r(&now, &time);
  return text_of(time);
}

std::optional<std::time_t> noon_of(const std::string& day) {
  std::tm time{};
  if (std::sscanf(day.c_str(), "%4d-%2d-%2d", &time.tm_year, &time.tm_mon, &time.tm_mday) != 3 || time.tm_year < 0) {
    return std::nullopt;
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  time.tm_hour = 12;
  time.tm_isdst = -1;
  const std::time_t noon = std::mktime(&time);  // mktime normalises invalid days
  return text_of(time) == day ? std::optional(noon) : std::nullopt;
}

}  // namespace lora_dist
