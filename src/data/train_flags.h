// Training flags in data sets: OpenAI's and mistral-finetune's weight, axolotl's train and train_detail, verl's loss_mask and
// trainable, ms-swift's loss, masks for token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/data/row.h"

namespace lora_dist {

/// Names of unknown keys that look like training flags (true, false, or a number from 0 to 1).
using UnknownFlags = std::set<std::string>;

/// Removes and returns a message's training flags, so that templates do not see them. 0 and false: not trained; 1 and true:
/// trained, for any role; weight = 1 and loss = true have no effect on other roles than the assistant. Throws Error(data) that
/// begins with `location` for other values (including weights between 0 and 1), contradicting keys, and mask = true, which is
/// ambiguous.
MessageTraining take_training(nlohmann::ordered_json& message, const std::string& location, UnknownFlags& unknown);

/// Removes axolotl's train_detail from a message: a list of {"begin_offset", "end_offset", "train"} in characters of the content,
/// end inclusive. Ranges with train = false become untrained parts. Throws Error(data) that begins with `location`.
void take_train_detail(nlohmann::ordered_json& message, std::size_t index, const std::string& location,
                       std::vector<UntrainedPart>& parts);

/// Reads a row's training flags (the same keys; lists are for its messages or the assistant's; mask_history trains only the last
/// answer). False: the row is not trained. `chat`: nullptr for other rows. A number outside [0, 1] (a patient's weight) and a
/// list without a chat are not flags, but noted. Throws Error(data) that begins with `location`, like take_training.
bool apply_row_flags(const nlohmann::ordered_json& row, ChatRow* chat, const std::string& location, UnknownFlags& unknown);

/// Sets labels of a row of ids to -100 where one of its masks (loss_mask, completion_mask, assistant_masks, attention_mask) is 0.
/// Throws Error(data) that begins with `location` for a mask of another length or with other values.
void apply_token_masks(const nlohmann::ordered_json& row, IdsRow& ids, const std::string& location);

}  // namespace lora_dist
