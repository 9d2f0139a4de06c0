// PEFT's modules_to_save: modules of which the adapter trains and saves a whole copy.
#pragma once

#include <string>
#include <vector>

#include "src/adapter/trained_norm.h"
#include "src/adapter/trained_table.h"

namespace lora_dist {

/// The modules that names match: the embedding, the head, and norms.
struct SavedModules {
  std::vector<TrainedTable> tables;
  std::vector<TrainedNorm> norms;
};

/// PEFT's rule: a name matches every module whose path ends with it, be it in the middle of a word. Throws Error for a name
/// that matches nothing, or a module of another kind. tie: embedding and head of a model with a tied head stay one table
/// (ensure_weight_tying); without it a tied head keeps the base's rows, or is trained apart.
SavedModules match_modules_to_save(const ModelSpec& model, const std::vector<std::string>& names, bool tie,
                                   const KeySource& source = {});

/// True if a name matches the path by that rule.
bool is_saved_module(const std::vector<std::string>& names, const std::string& path);

}  // namespace lora_dist
