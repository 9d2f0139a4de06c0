// Opens what is merged.
#include "src/commands/open_merge.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <system_error>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/frozen_tensors.h"
#include "src/adapter/initial_factors.h"
#include "src/base/prequantized.h"
#include "src/convert/replaced_weights.h"
#include "src/core/error.h"
#include "src/job/data_setup.h"
#include "src/model/folder_warnings.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// "DIR" or "DIR=WEIGHT"; an existing folder with the whole name has precedence.
WeightedAdapter parse_adapter(const std::string& given) {
  const std::size_t equals = given.rfind('=');
  std::error_code ignored;
  if (equals == std::string::npos || fs::exists(given, ignored)) {
    return {given, 1.0, {}};
  }
  double weight = 0.0;
  const char* end = given.data() + given.size();
  const auto [stop, problem] = std::from_chars(given.data() + equals + 1, end, weight);
  if (problem != std::errc() || stop != end || !std::isfinite(weight)) {
    throw Error(ExitCode::usage, fmt::format("--adapter {}: what follows = must be a number, the weight of this adapter", given));
  }
  return {given.substr(0, equals), weight, {}};
}

/// A prequantized folder has only one kind of weights to merge onto.
void open_quantized(const MergeOptions& options, std::span<const StoredWeights> stored, const ModelSpec& spec, Merge& merge) {
  if (options.onto == Onto::full) {
    throw Error(ExitCode::usage, fmt::format("--onto full: {} does not hold the original weights, but quantized ones; leave it "
                                             "out, or give the folder that does",
                                             options.model));
  }
  merge.quantized = as_plain_model(spec, merge.files, stored);
}

/// Without adapters: the weights as the folder has them.
MergeFormats formats_without_adapters(const MergeOptions& options, const std::optional<BaseFormat>& stored) {
  if (options.base.quantization || options.onto) {
    return choose_merge_formats(options, {}, stored);
  }
  MergeFormats out;
  out.trained = stored.value_or(BaseFormat{Quantization::none, false, 64});
  out.onto = stored ? Onto::dequantized : Onto::full;
  return out;
}

}  // namespace

Merge open_merge(const MergeOptions& options) {
  Merge merge;
  merge.spec = read_model_config(options.model);  // rejects a folder whose merged result could not be loaded
  const ModelSpec& spec = merge.spec;
  merge.files = read_model_directory(options.model);
  open_model_tokenizer(options.model, spec);
  merge.warnings = folder_warnings(spec, merge.files);
  const std::vector<StoredWeights> stored = check_model_tensors(spec, merge.files);
  if (stored_format(stored)) {
    open_quantized(options, stored, spec, merge);
  }
  for (const std::string& given : options.adapters) {
    merge.adapters.push_back(parse_adapter(given));
    merge.adapters.back().adapter = read_peft_adapter(merge.adapters.back().folder);
    PeftAdapter& adapter = merge.adapters.back().adapter;
    check_vocabulary(merge.adapters.back(), spec);
    check_tables(adapter, spec, merge.files);
    complete_shared(adapter, spec, merge.adapters.back().folder.string());
    convert_to_plain(adapter, spec, merge.files, merge.adapters.back().folder.string(), Stream{});
  }
  merge.formats = merge.adapters.empty() ? formats_without_adapters(options, stored_format(stored))
                                         : choose_merge_formats(options, merge.adapters, stored_format(stored));
  merge.plan = make_merge_plan(spec, merge.model(), merge.adapters);
  return merge;
}

}  // namespace lora_dist
