// The parts of the flat buffer with a learning rate of their own.
#include "src/train/update_ranges.h"

#include <gtest/gtest.h>

#include "tests/support/model_fixture.h"

namespace lora_dist::update_ranges_test {
namespace {

TEST(UpdateRanges, GiveBItsOwnRateAndCoverTheBuffer) {
  const ModelSpec model = read_model_config(test::source("demo/model"));
  const AdapterLayout layout = make_adapter_layout(model, {4, 8.0, 0.0, false, {"q_proj", "v_proj"}, &dora_method()});
  EXPECT_EQ(update_ranges(layout, 0.0), (std::vector<UpdateRange>{{0, layout.count, 1.0}}));
  const std::vector<UpdateRange> ranges = update_ranges(layout, 16.0);
  const std::vector<NamedParameter> named = named_parameters(layout);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    EXPECT_EQ(ranges[i].offset, next);
    EXPECT_EQ(ranges[i].rate, i % 2 == 0 ? 1.0 : 16.0);
    next += ranges[i].count;
  }
  EXPECT_EQ(next, layout.count);
  // The magnitudes of a layer and A of the next one learn alike: one range
  EXPECT_EQ(ranges.size(), 2 * (named.size() / 3) + 1);
  EXPECT_EQ(ranges[1], (UpdateRange{named[1].parameter.offset, named[1].parameter.shape.count(), 16.0}));
}

}  // namespace
}  // namespace lora_dist::update_ranges_test
