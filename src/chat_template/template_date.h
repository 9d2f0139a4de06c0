// The day that chat templates are told (strftime_now), as a value that a run can keep.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace lora_dist {

/// Whether a template, or a file with one in it, may ask for the date or the time.
bool asks_for_date(std::string_view text);

/// What strftime_now tells where no day is given: now, or the seconds since 1970 in the environment's SOURCE_DATE_EPOCH.
std::time_t chat_template_time();

/// The day of chat_template_time, as "2026-11-26".
std::string chat_template_today();

/// Noon of such a day, in the time zone that templates print; none where the text is no day.
std::optional<std::time_t> noon_of(const std::string& day);

}  // namespace lora_dist
