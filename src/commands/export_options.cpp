// Describes and checks the options of export.
#include "src/commands/export_options.h"

#include <fmt/format.h>

#include "src/commands/option_values.h"
#include "src/io/gguf.h"

namespace lora_dist {

void describe_export_options(CommandUse& use, ExportOptions& options) {
  MergeOptions& merge = options.merge;
  use.options.add_options()  //
      ("for", word_value(options.reader, "for", kReaders),
       "the program that will read it; gguf: the model with the adapter merged, as a GGUF file")                               //
      ("adapter", paths_of(merge.adapters, "DIR"), "PEFT adapter folder; of gguf it may be left out")                          //
      ("model", path_of(merge.model, "DIR"), "the base model: a Hugging Face folder, or a GGUF file; for gguf and llama.cpp")  //
      ("output", path_of(merge.output, "PATH"), "new folder (peft, vllm) or file (llama.cpp, gguf)")                           //
      ("type", word_value(options.type, "type", kGgufFileTypes), "of gguf: how the weights are written")                       //
      ("check", boost::program_options::bool_switch(&options.check),
       "write nothing, and tell for each reader whether the adapter would load and mean the same")  //
      ("onto", word_value(merge.onto, "onto", kOnto),
       "the weights that the adapter is for: as the quantized base held them, or those of the files (default: what the adapter "
       "was trained on, by its record)")  //
      ("quantization", word_value(merge.base.quantization, "quantization", kQuantizations),
       "how the base was held in training (default: by the adapter's record, else nf4)")  //
      ("block-size", value_of(merge.base.block_size, "N"),
       "with nf4 and fp4: weights per scale (default: by the adapter's record, else 64)")  //
      ("double-quant", value_of(merge.base.double_quant, "true|false"),
       "with nf4 and fp4: whether the block scales were quantized as well (default: by the adapter's record, else true)");
}

void check_export_options(const ExportOptions& options) {
  const MergeOptions& merge = options.merge;
  if (options.check) {
    check_needed("export --check", {{!merge.adapters.empty(), "--adapter DIR"}});
  } else {
    const bool gguf = options.reader == Reader::gguf;
    const bool needs_model = gguf || options.reader == Reader::llama_cpp;
    check_needed("export", {{options.reader.has_value(), "--for peft|vllm|llama.cpp|gguf"},
                            {!needs_model || !merge.model.empty(), "--model DIR"},
                            {gguf || !merge.adapters.empty(), "--adapter DIR"},
                            {!gguf || options.type.has_value(), "--type f32|f16|bf16|q8_0|q4_k_m"},
                            {!merge.output.empty(), "--output PATH"}});
    if (!gguf && options.type) {
      fail_usage("--type is of --for gguf; an adapter is written in f32");
    }
  }
  const bool writes_gguf = options.reader == Reader::gguf || options.reader == Reader::llama_cpp;
  if (writes_gguf && !options.check && !has_gguf_ending(merge.output)) {
    fail_usage(
        fmt::format("--output {} must end in .gguf: this program and others know GGUF files by that ending", merge.output));
  }
  if (!options.check && options.reader != Reader::gguf && merge.adapters.size() > 1) {
    fail_usage("--adapter is given more than once; only --for gguf merges several, the others take one at a time");
  }
  check_base_options(merge.base);
}

}  // namespace lora_dist
