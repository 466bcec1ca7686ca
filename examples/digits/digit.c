/* Reads a picture of one digit, 28 x 28 bytes, light ink on black, and prints the digit.

   cc -O2 digit.c reader.o -o digit && ./digit seven.raw */
#include <stdio.h>

#include "reader.h"

int main(int count, char **arguments) {
    static uint8_t image[28 * 28];
    static float probability[10];
    if (count != 2) {
        fprintf(stderr, "usage: %s PICTURE.raw\n", arguments[0]);
        return 2;
    }
    FILE *file = fopen(arguments[1], "rb");
    if (!file) {
        perror(arguments[1]);
        return 2;
    }
    size_t n = fread(image, 1, sizeof image, file);
    int is_whole = n == sizeof image && fgetc(file) == EOF;
    fclose(file);
    if (!is_whole) {
        fprintf(stderr, "%s: a picture is %zu bytes\n", arguments[1], sizeof image);
        return 2;
    }
    if (reader_run(image, probability)) return 1;
    int best = 0;
    for (int digit = 1; digit < 10; digit++)
        if (probability[digit] > probability[best]) best = digit;
    printf("%d (%.2f %%)\n", best, 100 * probability[best]);
    return 0;
}
