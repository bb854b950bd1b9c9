# aarch64 Linux, its programs run by QEMU: cmake -DCMAKE_TOOLCHAIN_FILE=... -DDERM_ARM_ROOT=<a folder of root.sh>/root
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Never -cpu max: with QEMU 7.2 it computes garbage without a word.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -cpu cortex-a72 -L ${DERM_ARM_ROOT})
