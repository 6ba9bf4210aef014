/* The least that writing the records of `noop` costs: one process, one file, write(2) of full buffers.
 *
 * usage: write_loop N OUT */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 16];

static char *digits(char *to, unsigned long number)
{
    char reversed[20];
    int count = 0;
    do
        reversed[count++] = '0' + number % 10;
    while (number /= 10);
    while (count)
        *to++ = reversed[--count];
    return to;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    unsigned long n = strtoul(argv[1], NULL, 10);
    int out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    char *end = buffer;
    for (unsigned long idx = 0; idx < n; idx++) {
        end = digits(memcpy(end, "{\"idx\":", 7) + 7, idx);
        end = digits(memcpy(end, ",\"value\":", 9) + 9, idx);
        end = memcpy(end, "}\n", 2) + 2;
        if (end > buffer + sizeof buffer - 64 || idx + 1 == n) {
            if (write(out, buffer, end - buffer) != end - buffer)
                return 1;
            end = buffer;
        }
    }
    return 0;
}
