// Describes and checks the options of merge.
#include "src/commands/merge_options.h"

#include "src/commands/option_values.h"

namespace lora_dist {

void describe_merge_options(CommandUse& use, MergeOptions& options) {
  use.options.add_options()                                                                  //
      ("model", path_of(options.model, "DIR"), "Hugging Face model folder, or a GGUF file")  //
      ("adapter", paths_of(options.adapters, "DIR[=WEIGHT]"),
       "PEFT adapter folder; may be repeated, each added with its weight (default 1)")  //
      ("output", path_of(options.output, "DIR"), "new folder for the merged model")     //
      ("onto", word_value(options.onto, "onto", kOnto),
       "add to the weights as the quantized base held them, or to those of the files (default: what the adapter was trained on, "
       "by its record)")  //
      ("quantization", word_value(options.base.quantization, "quantization", kQuantizations),
       "how the base was held in training (default: by the adapter's record, else nf4)")  //
      ("block-size", value_of(options.base.block_size, "N"),
       "with nf4 and fp4: weights per scale (default: by the adapter's record, else 64)")  //
      ("double-quant", value_of(options.base.double_quant, "true|false"),
       "with nf4 and fp4: whether the block scales were quantized as well (default: by the adapter's record, else true)")  //
      ("text", path_of(options.text, "F.jsonl"),
       "{\"text\"} or {\"input_ids\"} lines: compare perplexity and log-probabilities of both ways on them");
}

void check_merge_options(const MergeOptions& options) {
  check_needed("merge", {{!options.model.empty(), "--model DIR"},
                         {!options.adapters.empty(), "--adapter DIR"},
                         {!options.output.empty(), "--output DIR"}});
  check_base_options(options.base);
}

}  // namespace lora_dist
