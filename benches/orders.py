"""Orders as files, made from their numbers: the same numbers make the same bytes, and no two orders are alike."""

HEADER = "order_no,customer_no,order_date,due_date,status,quantity,unit_price,currency,email,note\n"
ROWS_PER_FILE = 20
# One row in so many has a quantity that is no number.
BAD_EVERY = 100
STATUS = ["NEW", "PAID", "SHIPPED", "DELIVERED", "CANCELLED"]
CURRENCY = ["EUR", "USD", "PLN", "CAD", "SEK", "JPY"]

MAPPING = """match = ["{match}"]

[format]
type = "csv"

[target]
{target}
key = ["order_no"]

[columns]
order_no    = {{ required = true, max_length = 20 }}
customer_no = {{ required = true, max_length = 20 }}
order_date  = {{ type = "date", format = "%d/%m/%Y", required = true }}
due_date    = {{ type = "date", required = true }}
status      = {{ required = true, one_of = ["NEW", "PAID", "SHIPPED", "DELIVERED", "CANCELLED"] }}
quantity    = {{ type = "integer", required = true }}
unit_price  = {{ type = "decimal(12,4)", required = true }}
currency    = {{ required = true, pattern = "[A-Z]{{3}}" }}
email       = {{ required = true, is = "email" }}
note        = {{}}
"""


def mapping(match, table, connection=None):
    """The mapping of such files, as TOML."""
    target = f'table = "{table}"' + (f'\nconnection = "{connection}"' if connection else "")
    return MAPPING.format(match=match, target=target)


def row(number, price=0):
    """The order of this number; with another `price` it has changed."""
    mixed = number * 2_654_435_761 % 4_294_967_296
    quantity = "n/a" if number % BAD_EVERY == 0 else mixed % 500
    day, month = 1 + mixed % 28, 1 + mixed % 12
    cents = (mixed + price) % 1_000_000
    return (
        f"SO-{number:010},C{mixed % 200_000:06},{day:02}/{month:02}/2025,2026-{month:02}-{day:02},{STATUS[mixed % 5]},"
        f"{quantity},{cents // 100}.{cents % 100:02},{CURRENCY[mixed % 6]},buyer{mixed % 90_000}@mail.example.net,\n"
    )


def small_file(number):
    """The text of the small file of this number, counted from 0."""
    first = number * ROWS_PER_FILE + 1
    return HEADER + "".join(row(at) for at in range(first, first + ROWS_PER_FILE))


def write_rows(path, numbers, price=0):
    with open(path, "w", encoding="utf-8") as out:
        out.write(HEADER)
        out.writelines(row(number, price) for number in numbers)
