// Named points at which a test may make the program fail. In the program itself they do nothing: what they do in tests is in
// tests/faults, which one executable of the tests links in their place.
#pragma once

#include <span>
#include <string_view>

namespace lora_dist {

/// The process passes `point`: there it may be killed, stopped, held up, held for ever, or find no memory (std::bad_alloc). From
/// any thread.
void fault_point(std::string_view point);

/// The same where there are numbers to spoil.
void fault_point(std::string_view point, std::span<float> values);

}  // namespace lora_dist
