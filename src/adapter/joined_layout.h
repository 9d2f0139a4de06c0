// Adapters of several methods that are trained together: one flat buffer, and a part of it for each method.
#pragma once

#include <vector>

#include "src/adapter/adapter_layout.h"

namespace lora_dist {

/// The layouts of methods of different parts of the model in one flat buffer, in the order of named_parameters. Moves the offsets
/// of `layouts` there. The first one's method has the hooks of linear layers and of steps. One layout stays as it is.
AdapterLayout join_layouts(std::vector<AdapterLayout>& layouts);

/// The part of a joined layout that one of its methods trains.
AdapterLayout layout_of_method(const AdapterLayout& joined, const AdapterMethod& method);

}  // namespace lora_dist
