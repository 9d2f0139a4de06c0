// The day for chat templates (strftime_now), as a value that a run can store.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace lora_dist {

/// True if a template (or a file with one) may use the date or time.
bool asks_for_date(std::string_view text);

/// The default of strftime_now: the current time, or SOURCE_DATE_EPOCH (seconds since 1970) of the environment.
std::time_t chat_template_time();

/// The day of chat_template_time, as "2026-11-26".
std::string chat_template_today();

/// Noon of such a day, in the templates' time zone; nullopt if the text is not a date.
std::optional<std::time_t> noon_of(const std::string& day);

}  // namespace lora_dist
