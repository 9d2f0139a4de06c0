// Compares the adapters' records with the command line.
#include "src/commands/merge_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/adapter/adapter_origin.h"
#include "src/core/error.h"
#include "src/job/trained_format.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// A recorded format and its adapter.
struct Record {
  BaseFormat format;
  fs::path adapter;
};

/// The distinct recorded formats.
std::vector<Record> records_of(std::span<const WeightedAdapter> adapters) {
  std::vector<Record> out;
  for (const WeightedAdapter& each : adapters) {
    const std::optional<BaseFormat> format = recorded_base_format(each.folder);
    if (format && std::ranges::none_of(out, [&](const Record& known) { return is_same_format(known.format, *format); })) {
      out.push_back({*format, each.folder});
    }
  }
  return out;
}

void check_records_agree(const std::vector<Record>& records, std::optional<Onto> onto) {
  if (records.size() > 1 && onto != Onto::full) {
    throw Error(
        ExitCode::usage,
        fmt::format(
            "the adapters were trained on bases of different quantization ({}: {}; {}: {}), and one folder cannot be both; "
            "merge them apart, or write --onto full",
            records[0].adapter.string(), describe(records[0].format), records[1].adapter.string(), describe(records[1].format)));
  }
}

}  // namespace

MergeFormats choose_merge_formats(const MergeOptions& options, std::span<const WeightedAdapter> adapters,
                                  const std::optional<BaseFormat>& stored) {
  const std::vector<Record> records = records_of(adapters);
  const bool onto_given = options.onto.has_value();
  check_records_agree(records, options.onto);
  const WantedFormat written = wanted_format(options.base, Quantization::nf4);
  const WantedFormat wanted = as_recorded(written, records.empty() ? std::nullopt : std::optional(records[0].format));
  MergeFormats out;
  out.trained = stored ? agree_on_format(written, *stored, options.model) : wanted.format;
  const bool plain = !stored && out.trained.quantization == Quantization::none;
  out.onto = options.onto.value_or(plain ? Onto::full : Onto::dequantized);
  if (!records.empty() && !is_same_format(records[0].format, out.trained)) {
    out.warnings.push_back(fmt::format("{} was trained on a base that was {}, but would be merged as if that was {}",
                                       records[0].adapter.string(), describe(records[0].format), describe(out.trained)));
    if (!onto_given) {
      throw Error(ExitCode::usage,
                  out.warnings.back() + (stored ? "; give the folder that it was trained on, or write --onto as well"
                                                : "; leave --quantization and its like out, or write --onto as well"));
    }
  }
  if (plain && options.onto == Onto::dequantized) {
    out.warnings.emplace_back("--onto dequantized changes nothing: training had the files' own weights");
  }
  for (const WeightedAdapter& each : adapters) {
    if (!stored && !written.quantization_given && !onto_given && !recorded_base_format(each.folder)) {
      out.warnings.push_back(fmt::format(
          "{} does not record the base's quantization in training; assuming: {}. Set --quantization if it was trained "
          "otherwise, or --onto full if it was trained on the files' own weights",
          each.folder.string(), describe(out.trained)));
    }
    if (out.onto == Onto::full && makes_up_for_quantization(each.folder)) {
      out.warnings.push_back(
          fmt::format("{} starts from what quantization lost of its base (adapter.init = \"loftq\"): over the full "
                      "weights it adds that once more; leave --onto full out",
                      each.folder.string()));
    }
  }
  return out;
}

}  // namespace lora_dist
