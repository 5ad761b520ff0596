"""Recipe of the compact A2M: hear (features), fit, pack. Each step is a module that runs alone and
resumes."""
