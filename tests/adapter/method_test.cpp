// The table of adapter methods, and the value of adapter.method that names a row.
#include "src/adapter/method.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace lora_dist::method_test {
namespace {

TEST(AdapterMethods, EachValueOfTheKeyHasItsRow) {
  for (const auto& [word, method] : kMethods) {
    EXPECT_EQ(method_of(method).name, word);
  }
  EXPECT_EQ(&method_of(Method::lora), &lora_method());
}

TEST(AdapterMethods, NamesAreDifferentAndParametersToo) {
  std::set<std::string_view> names;
  for (const AdapterMethod* method : adapter_methods()) {
    EXPECT_TRUE(names.insert(method->name).second) << method->name;
    EXPECT_FALSE(method->peft.tensors.empty()) << method->name;
    if (method->parameters == nullptr) {  // it leaves linears alone
      continue;
    }
    std::set<std::string_view> parameters;
    if (method->virtual_place != VirtualPlace::none) {
      continue;  // it adapts no linear
    }
    for (const Parameter& parameter : method->parameters({6, 4, 2})) {
      EXPECT_TRUE(parameters.insert(parameter.name).second) << parameter.name;
    }
    EXPECT_FALSE(parameters.empty()) << method->name;
  }
}

}  // namespace
}  // namespace lora_dist::method_test
