// Reads every source file of the tree and fails on an include that runs against the direction of docs/architecture.md.
#include "tests/layout/include_arrows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace lora_dist::include_arrows_test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(IncludeArrows, TheWholeTreeKeepsTheDirection) {
  const fs::path root = LORA_DIST_SOURCE_DIR;
  int files = 0;
  for (const char* folder : {"src", "kernels"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".cu") {
        continue;
      }
      std::ifstream file(entry.path());
      std::stringstream text;
      text << file.rdbuf();
      EXPECT_THAT(layout_complaints(fs::relative(entry.path(), root).generic_string(), text.str()), IsEmpty());
      ++files;
    }
  }
  EXPECT_GT(files, 50);  // files were found
}

TEST(IncludeArrows, ForwardIsFine) {
  EXPECT_THAT(
      layout_complaints("kernels/rope/rope_cpu.cpp", "#include \"kernels/rope/rope.h\"\n#include \"kernels/common/check.h\"\n"),
      IsEmpty());
  EXPECT_THAT(layout_complaints("src/transformer/block.cpp",
                                "#include <vector>\n#include \"kernels/rope/rope.h\"\n#include \"src/io/file.h\"\n"),
              IsEmpty());
  EXPECT_THAT(layout_complaints("src/train/trainer.cpp", "#include \"src/config/config.h\"\n#include \"src/data/packing.h\"\n"),
              IsEmpty());
  EXPECT_THAT(layout_complaints("src/report/tokenizing_line.h", "#include \"src/data/dataset.h\"\n"), IsEmpty());
  EXPECT_THAT(layout_complaints("src/commands/doctor.cpp", "#include \"src/doctor/examine.h\"\n"), IsEmpty());
  EXPECT_THAT(layout_complaints("src/comm/mpi_communicator.cpp", "#include <mpi.h>\n"), IsEmpty());
  EXPECT_THAT(layout_complaints("src/main.cpp", "#include \"src/commands/train.h\"\n#include \"src/core/error.h\"\n"), IsEmpty());
  EXPECT_THAT(layout_complaints("kernels/common/dispatch.h", "#if defined(LORA_DIST_WITH_CUDA)\n"), IsEmpty());
}

TEST(IncludeArrows, BackwardIsNamedWithItsLine) {
  EXPECT_THAT(
      layout_complaints("src/comm/wire.h", "// a comment\n#include \"src/io/file.h\"\n"),
      ElementsAre("src/comm/wire.h:2: src/comm may not include src/io/file.h (docs/architecture.md shows the direction)"));
  const std::vector<std::pair<const char*, const char*>> backward = {
      {"kernels/common/dtype.h", "kernels/rope/rope.h"},
      {"kernels/rope/rope.h", "kernels/matmul/matmul.h"},
      {"kernels/rope/rope.h", "src/core/error.h"},
      {"src/core/error.h", "src/comm/wire.h"},
      {"src/transformer/block.cpp", "src/train/schedule.h"},
      {"src/transformer/block.cpp", "src/config/config.h"},
      {"src/data/packing.h", "src/config/config.h"},
      {"src/data/packing.h", "src/comm/wire.h"},
      {"src/tokenizer/bpe.cpp", "src/data/packing.h"},
      {"src/train/trainer.h", "src/commands/train.h"},
      {"src/adapter/adapter_layout.h", "src/transformer/block.h"},
      {"src/inference/generate.h", "src/job/open_model.h"},
      {"src/eval/evaluator.cpp", "src/train/train_step.h"},
      {"src/report/console.h", "src/job/open_model.h"},
      {"src/convert/merge_weights.cpp", "src/data/packing.h"},
      {"src/plan/plan_text.cpp", "src/doctor/finding.h"},
      {"src/doctor/examine.cpp", "src/plan/plan_text.h"},
      {"src/train/trainer.h", "src/main.h"},
      {"src/transformer/block.h", "src/nowhere/block.h"},
  };
  for (const auto& [from, to] : backward) {
    EXPECT_THAT(layout_complaints(from, std::string("  #  include \"") + to + "\"\n"), ElementsAre(HasSubstr("may not include")))
        << from << " -> " << to;
  }
}

TEST(IncludeArrows, IncludesAreWrittenFromTheRoot) {
  EXPECT_THAT(layout_complaints("src/io/file.cpp", "#include \"file.h\"\n"), ElementsAre(HasSubstr("repository root")));
}

TEST(IncludeArrows, OutsideLibrariesStayAtHome) {
  for (const char* header : {"mpi.h", "hdf5.h", "boost/program_options.hpp", "nccl.h"}) {
    EXPECT_THAT(layout_complaints("kernels/rope/rope_cpu.cpp", std::string("#include <") + header + ">\n"),
                ElementsAre(HasSubstr("may only be included in")));
  }
}

TEST(IncludeArrows, OnlyDispatchAsksForCuda) {
  for (const char* line : {"#if defined(LORA_DIST_WITH_CUDA)", "#ifdef __CUDACC__", "# elif USE_CUDA"}) {
    EXPECT_THAT(layout_complaints("kernels/rope/rope.h", line), ElementsAre(HasSubstr("CUDA")));
  }
}

TEST(IncludeArrows, LongFilesAreNamed) {
  std::string lines;
  for (int i = 0; i < 400; ++i) {
    lines += "x\n";
  }
  EXPECT_THAT(layout_complaints("kernels/rope/rope_cpu.cpp", lines), IsEmpty());
  EXPECT_THAT(layout_complaints("kernels/rope/rope_cpu.cpp", lines + "x\n"),
              ElementsAre(HasSubstr("rope_cpu.cpp:401: more than 400 lines")));
}

}  // namespace
}  // namespace lora_dist::include_arrows_test
