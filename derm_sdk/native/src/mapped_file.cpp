// A file mapped into memory.

#include <cstddef>
#include <string>

#ifdef _WIN32
#define NOMINMAX
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#endif

#include "failure.h"
#include "loaded.h"

namespace derm {
namespace {

#ifdef _WIN32
std::string_view map(const std::string& path) {
    const int length = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
    std::wstring wide(static_cast<std::size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, wide.data(), length);
    const HANDLE file = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    require(file != INVALID_HANDLE_VALUE, DERM_FILE_READ, path);
    LARGE_INTEGER size{};
    const bool sized = GetFileSizeEx(file, &size) != 0;
    const HANDLE mapping = sized && size.QuadPart > 0 ? CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr) : nullptr;
    CloseHandle(file);
    require(sized, DERM_FILE_READ, path);
    require(size.QuadPart > 0, DERM_BUNDLE_EMPTY, path);
    const void* found = mapping == nullptr ? nullptr : MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    if (mapping != nullptr) {
        CloseHandle(mapping);
    }
    require(found != nullptr, DERM_FILE_READ, path);
    return {static_cast<const char*>(found), static_cast<std::size_t>(size.QuadPart)};
}

void unmap(std::string_view bytes) { UnmapViewOfFile(bytes.data()); }
#else
std::string_view map(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    require(file >= 0, DERM_FILE_READ, path + ": " + std::strerror(errno));
    struct stat status {};
    const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    const auto size = static_cast<std::size_t>(status.st_size);
    void* found = regular && size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
    const int why = errno;
    ::close(file);
    require(regular, DERM_FILE_READ, path + ": no regular file");
    require(size > 0, DERM_BUNDLE_EMPTY, path);
    require(found != MAP_FAILED, DERM_FILE_READ, path + ": " + std::strerror(why));
    return {static_cast<const char*>(found), size};
}

void unmap(std::string_view bytes) { munmap(const_cast<char*>(bytes.data()), bytes.size()); }
#endif

}  // namespace

MappedFile map_file(const std::string& path) {
    const std::string_view bytes = map(path);
    return {bytes, std::shared_ptr<const void>(bytes.data(), [bytes](const void*) { unmap(bytes); })};
}

}  // namespace derm
