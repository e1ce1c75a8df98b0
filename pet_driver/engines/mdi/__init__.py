"""MDI: a model as an engine for programs that move atoms, such as LAMMPS with `fix mdi/qm`."""
