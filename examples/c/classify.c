/* Classifies a photo: classify MODEL.derm PHOTO.ppm [skin type 1..6]
 * A PPM is what `magick photo.jpg -auto-orient photo.ppm` or libjpeg's djpeg writes: a short text, then RGB.
 * Prints what to tell a person, and the whole result as JSON. A research tool, not a medical device. */

#include <derm.h>
#include <stdio.h>
#include <stdlib.h>

/* Skips spaces and comments, and reads a number; -1 where there is none. */
static int read_number(FILE* file) {
    int c = fgetc(file), number = -1;
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '#') {
        while (c == '#' && c != EOF) {
            do {
                c = fgetc(file);
            } while (c != '\n' && c != EOF);
        }
        c = fgetc(file);
    }
    for (; c >= '0' && c <= '9' && number < 1000000; c = fgetc(file)) {
        number = (number < 0 ? 0 : number) * 10 + (c - '0');
    }
    return number;
}

/* The pixels of a binary PPM of 8 bits, to be freed; NULL for anything else. */
static unsigned char* read_ppm(const char* path, int* width, int* height) {
    unsigned char* pixels = NULL;
    FILE* file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    if (fgetc(file) == 'P' && fgetc(file) == '6') {
        *width = read_number(file);
        *height = read_number(file);
        if (read_number(file) == 255 && *width > 0 && *height > 0 && *width <= 65535 && *height <= 65535) {
            size_t bytes = (size_t)*width * (size_t)*height * 3;
            pixels = malloc(bytes);
            if (pixels != NULL && fread(pixels, 1, bytes, file) != bytes) {
                free(pixels);
                pixels = NULL;
            }
        }
    }
    fclose(file);
    return pixels;
}

static void tell(const derm_result* result) {
    derm_prediction prediction;
    const char* reason;
    size_t place, last = 0;
    while (derm_result_count(result, last + 1) > 0) {
        ++last;
    }
    printf("answer: %s\n", derm_result_answer(result, &prediction) ? prediction.name : "not certain enough on any level");
    for (place = 0; derm_result_set_prediction(result, last, place, &prediction) == DERM_OK; ++place) {
        printf("  among: %s, %.0f %%\n", prediction.name, 100 * prediction.probability);
    }
    for (place = 0; (reason = derm_result_reason(result, place)) != NULL; ++place) {
        printf("see a dermatologist: %s\n", reason);
    }
    puts(derm_result_json(result, NULL));
}

int main(int argc, char** argv) {
    derm_error error = {DERM_OK, ""};
    derm_classifier* classifier = NULL;
    derm_result* result = NULL;
    derm_image image;
    int width = 0, height = 0, failed = 1;
    unsigned char* pixels;
    if (argc < 3) {
        fputs("usage: classify MODEL.derm PHOTO.ppm [skin type 1..6]\n", stderr);
        return 2;
    }
    pixels = read_ppm(argv[2], &width, &height);
    if (pixels == NULL) {
        fprintf(stderr, "%s is no PPM with 8 bits that can be read.\n", argv[2]);
    } else if (derm_open(argv[1], NULL, &classifier, &error) != DERM_OK ||
               derm_image_packed(DERM_RGB, width, height, pixels, (size_t)width * (size_t)height * 3, &image, &error) != DERM_OK ||
               derm_classify(classifier, &image, argc > 3 ? atoi(argv[3]) : DERM_SKIN_UNKNOWN, DERM_AS_OPENED, &result, &error) != DERM_OK) {
        fprintf(stderr, "error %d: %s\n", (int)error.status, error.text);
    } else {
        tell(result);
        failed = 0;
    }
    derm_result_free(result);
    derm_close(classifier);
    free(pixels);
    return failed;
}
