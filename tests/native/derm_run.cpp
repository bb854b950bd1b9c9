// Raw photos through the library, one JSON line each: what the tests in Python and benchmarks/native.py compare with.
//
//     derm_run MODEL LIST [repeats [handles]]
//
// LIST has a line per photo: FILE FORMAT WIDTH HEIGHT ROTATION SKIN_TYPE. Prints a JSON line per photo; with repeats, instead,
// milliseconds per photo and the resident memory before and after.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "derm.h"

namespace {

struct Photo {
    std::string bytes;
    derm_image image;
    int skin_type;
};

void stop(const derm_error& error) {
    std::fprintf(stderr, "%d: %s\n", static_cast<int>(error.status), error.text);
    std::exit(1);
}

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool next(std::istream& list, Photo& photo) {
    std::string path;
    int format, width, height, rotation;
    if (!(list >> path >> format >> width >> height >> rotation >> photo.skin_type)) {
        return false;
    }
    derm_error error;
    photo.bytes = read(path);
    const auto* data = reinterpret_cast<const std::uint8_t*>(photo.bytes.data());
    if (derm_image_packed(format, width, height, data, photo.bytes.size(), &photo.image, &error) != DERM_OK) {
        stop(error);
    }
    photo.image.rotation = rotation;
    return true;
}

void classify(derm_classifier* classifier, const Photo& photo, bool print) {
    derm_error error;
    derm_result* result = nullptr;
    if (derm_classify(classifier, &photo.image, photo.skin_type, DERM_AS_OPENED, &result, &error) != DERM_OK) {
        stop(error);
    }
    if (print) {
        std::puts(derm_result_json(result, nullptr));
    }
    derm_result_free(result);
}

long resident_kb() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.compare(0, 6, "VmRSS:") == 0) {
            return std::atol(line.c_str() + 6);
        }
    }
    return 0;
}

derm_classifier* open(const char* path) {
    derm_classifier* classifier = nullptr;
    derm_error error;
    if (derm_open(path, nullptr, &classifier, &error) != DERM_OK) {
        stop(error);
    }
    return classifier;
}

double milliseconds(std::chrono::steady_clock::time_point since) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count();
}

void measure(const char* model, const std::vector<Photo>& photos, int repeats, int handles) {
    const auto opening = std::chrono::steady_clock::now();
    std::vector<derm_classifier*> opened;
    for (int i = 0; i < handles; ++i) {
        opened.push_back(open(model));
    }
    const double opened_ms = milliseconds(opening) / handles;
    for (derm_classifier* each : opened) {
        classify(each, photos[0], false);
    }
    const long before = resident_kb();
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (derm_classifier* each : opened) {
        threads.emplace_back([&, each] {
            for (int i = 0; i < repeats; ++i) {
                classify(each, photos[static_cast<std::size_t>(i) % photos.size()], false);
            }
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    std::printf("{\"open_ms\": %.2f, \"ms\": %.4f, \"rss_before_kb\": %ld, \"rss_after_kb\": %ld}\n", opened_ms,
                milliseconds(start) / repeats / handles, before, resident_kb());
    for (derm_classifier* each : opened) {
        derm_close(each);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argc > 5) {
        std::fputs("derm_run MODEL LIST [repeats [handles]]\n", stderr);
        return 2;
    }
    std::ifstream list(argv[2]);
    if (argc == 3) {
        derm_classifier* classifier = open(argv[1]);
        for (Photo photo; next(list, photo);) {
            classify(classifier, photo, true);
        }
        derm_close(classifier);
        return 0;
    }
    std::vector<Photo> photos(4096);
    std::size_t count = 0;
    while (count < photos.size() && next(list, photos[count])) {
        ++count;
    }
    photos.resize(count);
    measure(argv[1], photos, std::atoi(argv[3]), argc == 5 ? std::atoi(argv[4]) : 1);
    return 0;
}
