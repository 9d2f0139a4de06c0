// Keys with which data sets say what is trained: OpenAI's and mistral-finetune's weight, axolotl's train and train_detail, verl's
// loss_mask and trainable, ms-swift's loss, masks beside token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "src/data/row.h"

namespace lora_dist {

/// Names of keys that look like flags of training (true, false, or a number from 0 to 1) and are not known.
using UnknownFlags = std::set<std::string>;

/// Takes the keys out of a message that say whether it is trained, so that no template sees them. 0 and false: it is not; 1 and
/// true: it is, whoever speaks; weight = 1 and loss = true say nothing about others than the assistant. Throws Error(data) that
/// begins with `place` for another value (a weight between 0 and 1 too), keys that contradict each other, and mask = true, which
/// some read as trained and others as hidden.
MessageTraining take_training(nlohmann::ordered_json& message, const std::string& place, UnknownFlags& unknown);

/// Takes axolotl's train_detail out of a message: a list of {"begin_offset", "end_offset", "train"}, characters of the content,
/// the last one included. Those with train = false become untrained parts. Throws Error(data) that begins with `place`.
void take_train_detail(nlohmann::ordered_json& message, std::size_t index, const std::string& place,
                       std::vector<UntrainedPart>& parts);

/// What a row says about itself (the same keys; as lists, of its messages or of the assistant's; mask_history: but for the last
/// answer, nothing is trained). False: the row is not trained. `chat`: nullptr for other rows. A number that is no share (a
/// patient's weight), and a list beside no chat, are no flags but noted. Throws Error(data) that begins with `place` as
/// take_training does.
bool apply_row_flags(const nlohmann::ordered_json& row, ChatRow* chat, const std::string& place, UnknownFlags& unknown);

/// Labels of a row of ids: -100 where one of the masks beside them (loss_mask, completion_mask, assistant_masks, attention_mask)
/// is 0. Throws Error(data) that begins with `place` for a mask of another length or with other values.
void apply_token_masks(const nlohmann::ordered_json& row, IdsRow& ids, const std::string& place);

}  // namespace lora_dist
