// Moves offsets.
#include "src/adapter/joined_layout.h"

#include <algorithm>

#include "src/adapter/tensor_roles.h"

namespace lora_dist {

namespace {

void move_offsets(std::vector<Parameter>& parameters, std::int64_t by) {
  for (Parameter& parameter : parameters) {
    parameter.offset += by;
  }
}

/// The layout's parameters follow `first` others.
void place_after(AdapterLayout& layout, std::int64_t first) {
  layout.virtual_tokens.parameter.offset += first;
  for (auto& block : layout.blocks) {
    for (auto& adapted : block) {
      if (adapted) {
        move_offsets(adapted->parameters, first);
      }
    }
  }
  for (TrainedNorm& norm : layout.norms) {
    move_offsets(norm.parameters, first);
  }
  for (Bottleneck& each : layout.bottlenecks.all) {
    move_offsets(each.parameters, first);
  }
  for (TrainedTable& table : layout.tables) {
    table.parameter.offset += first;
  }
}

void add_part(AdapterLayout& joined, const AdapterLayout& part) {
  switch (part_of(value_of(*part.method))) {
    case MethodPart::virtual_tokens:
      joined.virtual_tokens = part.virtual_tokens;
      break;
    case MethodPart::linears:
      joined.blocks = part.blocks;
      joined.frozen = part.frozen;
      joined.frozen_count = part.frozen_count;
      joined.init = part.init;
      joined.tables = part.tables;
      for (const TrainedNorm& norm : part.norms) {
        if (norm.parameters.front().name == kSavedWeight) {  // of modules_to_save
          joined.norms.push_back(norm);
        }
      }
      break;
    case MethodPart::norms:
      joined.norms = part.norms;
      break;
    case MethodPart::sublayers:
      joined.bottlenecks = part.bottlenecks;
      break;
    case MethodPart::base:  // always alone
      joined.vectors = part.vectors;
      joined.norms = part.norms;
      break;
  }
}

}  // namespace

AdapterLayout join_layouts(std::vector<AdapterLayout>& layouts) {
  if (layouts.size() == 1) {
    return layouts.front();
  }
  std::vector<AdapterLayout*> in_order;
  for (AdapterLayout& layout : layouts) {
    const bool comes_first = layout.virtual_tokens.count > 0;
    in_order.insert(comes_first ? in_order.begin() : in_order.end(), &layout);
  }
  AdapterLayout joined;
  joined.family = layouts.front().family;
  joined.method = layouts.front().method;
  joined.blocks.resize(layouts.front().blocks.size());
  for (AdapterLayout* layout : in_order) {
    place_after(*layout, joined.count);
    add_part(joined, *layout);
    joined.count += layout->count;
  }
  return joined;
}

AdapterLayout layout_of_method(const AdapterLayout& joined, const AdapterMethod& method) {
  AdapterLayout part;
  part.family = joined.family;
  part.method = &method;
  part.blocks.resize(joined.blocks.size());
  part.count = joined.count;
  AdapterLayout of_joined = joined;
  of_joined.method = &method;
  add_part(part, of_joined);
  part.encoder = joined.encoder;
  return part;
}

}  // namespace lora_dist
