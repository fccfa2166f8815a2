"""What people are called. Names are dealt at random, so that a name says nothing about looks."""

NAMES: tuple[str, ...] = (
    *("Ada", "Adam", "Alma", "Amir", "Ana", "Anton", "Arne", "Asha", "Aya", "Basil"),
    *("Bea", "Ben", "Bodo", "Boris", "Carla", "Cleo", "Cora", "Cyrus", "Dana", "Dario"),
    *("Demi", "Dora", "Edda", "Eli", "Elsa", "Emil", "Enzo", "Erik", "Esra", "Eva"),
    *("Fay", "Felix", "Finn", "Flora", "Frida", "Gala", "Georg", "Gina", "Greta", "Hana"),
    *("Hasan", "Hugo", "Ida", "Igor", "Ilse", "Ines", "Iris", "Ivan", "Jana", "Jasper"),
    *("Joel", "Jonas", "Juno", "Kai", "Karl", "Kenji", "Kira", "Lars", "Lea", "Leo"),
    *("Lena", "Lina", "Luca", "Luis", "Maja", "Malik", "Mara", "Mei", "Mila", "Milo"),
    *("Nadia", "Nils", "Nina", "Noah", "Nora", "Olga", "Omar", "Oskar", "Otto", "Paul"),
    *("Petra", "Pia", "Quinn", "Rafi", "Rosa", "Ruben", "Sami", "Sara", "Sven", "Tara"),
    *("Theo", "Tilda", "Timo", "Uma", "Vera", "Viktor", "Wanda", "Xenia", "Yara", "Zoe"),
)
"""A hundred short names, all of one word."""
