// Values that are planned but do not work yet.
#pragma once

#include <toml++/toml.h>
#include <string>
#include <string_view>

namespace lora_dist {

/// "= pissa is not built yet; what works is default, gaussian" if `node`, or one of its elements, is a planned value of the key;
/// else empty.
std::string refusal_of_planned(std::string_view key, const toml::node& node);

}  // namespace lora_dist
