// The rows of the table.
#include "src/adapter/method.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kernels/common/check.h"
#include "src/adapter/full.h"

namespace lora_dist {

std::span<const AdapterMethod* const> adapter_methods() {
  static const std::array<const AdapterMethod*, 10> all = {
      &lora_method(),    &dora_method(),   &ia3_method(),    &ln_tuning_method(), &vera_method(),
      &adalora_method(), &prompt_method(), &prefix_method(), &p_tuning_method(),  &bottleneck_method()};
  return all;
}

const AdapterMethod& method_of(Method method) {
  if (method == Method::full) {
    return full_method();
  }
  const std::span<const AdapterMethod* const> all = adapter_methods();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const AdapterMethod* row) { return row->name == word_of(kMethods, method); });
  require(found != all.end(), "a value of adapter.method has no row in the table of methods");
  return **found;
}

Method value_of(const AdapterMethod& method) {
  const std::optional<Method> value = value_of_word(kMethods, method.name);
  require(value.has_value(), "a row of the table of methods is no value of adapter.method");
  return *value;
}

}  // namespace lora_dist
