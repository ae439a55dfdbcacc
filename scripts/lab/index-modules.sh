#!/bin/bash
exec depmod "$1"
