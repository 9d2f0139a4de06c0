// The main function of every test program without MPI.
#include <gtest/gtest.h>

#include "kernels/common/parallel.h"

int main(int argc, char** argv) {
  lora_dist::set_library_threads();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
