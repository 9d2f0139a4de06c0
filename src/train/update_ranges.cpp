// Walks the layout in the order of the flat buffer.
#include "src/train/update_ranges.h"

#include "src/adapter/tensor_roles.h"

namespace lora_dist {

std::vector<UpdateRange> update_ranges(const AdapterLayout& layout, double loraplus_ratio) {
  if (layout.encoder) {
    return {{layout.encoder->first, layout.encoder->count, 1.0}};
  }
  if (loraplus_ratio == 0.0) {
    return {{0, layout.count, 1.0}};
  }
  std::vector<UpdateRange> ranges;
  for (const NamedParameter& named : named_parameters(layout)) {
    const double rate = named.parameter.name == kLoraB ? loraplus_ratio : 1.0;
    if (ranges.empty() || ranges.back().rate != rate) {
      ranges.push_back({named.parameter.offset, 0, rate});
    }
    ranges.back().count += named.parameter.shape.count();
  }
  return ranges;
}

}  // namespace lora_dist
