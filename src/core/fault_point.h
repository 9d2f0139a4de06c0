// Named points at which a test can inject a fault. They have no effect in the program; one test executable links tests/faults
// instead.
#pragma once

#include <span>
#include <string_view>

namespace lora_dist {

/// Marks `point`, where a test may kill, stop, delay or block the process or throw std::bad_alloc. Callable from any thread.
void fault_point(std::string_view point);

/// The same with values that a test may corrupt.
void fault_point(std::string_view point, std::span<float> values);

}  // namespace lora_dist
